"""What a graph holds, and what training on it will take: `spx check`."""
