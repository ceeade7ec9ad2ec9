"use strict";
document.documentElement.classList.add("js");

// Layers: strength, zoom, and moving a zoomed image by mouse or keys. Which layer shows is CSS.
for (const overlays of document.querySelectorAll(".overlays")) {
  const panes = [...overlays.querySelectorAll(".pane")];
  const output = overlays.querySelector("output");
  const together = "together" in overlays.dataset;
  let zoom = 1;

  const setZoom = (value, origin) => {
    const next = Math.min(8, Math.max(1, value));
    for (const pane of panes) {
      const box = pane.getBoundingClientRect();
      const at = origin && origin.pane === pane ? origin : { x: box.width / 2, y: box.height / 2 };
      const x = (pane.scrollLeft + at.x) / zoom, y = (pane.scrollTop + at.y) / zoom;
      if (!pane.style.height && next > 1) pane.style.height = `${box.height}px`;
      pane.style.setProperty("--zoom", next);
      pane.scrollLeft = x * next - at.x;
      pane.scrollTop = y * next - at.y;
      if (next === 1) pane.style.height = "";
      pane.classList.toggle("zoomed", next > 1.5);
    }
    zoom = next;
    output.textContent = `${Math.round(100 * zoom)} %`;
  };

  overlays.querySelector(".strength").addEventListener("input", (event) =>
    overlays.style.setProperty("--strength", event.target.value / 100));
  const steps = { in: () => zoom * 1.5, out: () => zoom / 1.5, fit: () => 1 };
  for (const button of overlays.querySelectorAll("[data-zoom]"))
    button.addEventListener("click", () => setZoom(steps[button.dataset.zoom]()));

  for (const pane of panes) {
    const keys = { "+": "in", "=": "in", "-": "out", "0": "fit" };
    pane.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      setZoom(steps[keys[event.key]]());
    });
    pane.addEventListener("dblclick", (event) => {
      const box = pane.getBoundingClientRect();
      setZoom(zoom < 8 ? zoom * 2 : 1, { pane, x: event.clientX - box.left, y: event.clientY - box.top });
    });
    pane.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0 || zoom === 1) return;
      pane.setPointerCapture(event.pointerId);
      pane.classList.add("dragging");
    });
    pane.addEventListener("pointermove", (event) => {
      if (!pane.classList.contains("dragging")) return;
      pane.scrollLeft -= event.movementX;
      pane.scrollTop -= event.movementY;
    });
    for (const end of ["pointerup", "pointercancel"])
      pane.addEventListener(end, () => pane.classList.remove("dragging"));
    pane.addEventListener("dragstart", (event) => event.preventDefault());
    if (together) pane.addEventListener("scroll", () => {
      for (const other of panes) {
        if (other.scrollLeft !== pane.scrollLeft) other.scrollLeft = pane.scrollLeft;
        if (other.scrollTop !== pane.scrollTop) other.scrollTop = pane.scrollTop;
      }
    });
  }
}

// Tables that sort by a column: numbers by their value, the rest as text, what is missing last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = column ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    } catch {
      getSelection().selectAllChildren(code); // no access to the clipboard: leave it to Ctrl-C
    }
  });

// On paper the tables behind "as a table" would repeat the charts; the settings are worth printing.
const folded = [...document.querySelectorAll("#what details, #training details")];
let opened = [];
addEventListener("beforeprint", () => {
  opened = folded.filter((part) => !part.open);
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => { for (const part of opened) part.open = false; });

// A link to a frame opens the folded part that it is in.
const reveal = () => {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const part = place && place.closest("details");
  if (!part) return;
  part.open = true;
  place.scrollIntoView({ behavior: "instant" });
};
addEventListener("hashchange", reveal);
reveal();
