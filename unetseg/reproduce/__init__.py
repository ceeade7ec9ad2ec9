"""The benchmarks of the papers, the table of networks, and the demo."""
