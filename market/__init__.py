"""What comes in: bars from files and feeds, and the history that keeps them."""
