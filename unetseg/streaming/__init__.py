"""Images of any size: streamed tile by tile, exact, resumable, in bounded memory."""
