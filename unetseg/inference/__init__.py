"""What makes a trained network fast: engines, export, folding, and the memory that all of it takes."""
