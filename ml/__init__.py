"""What Barograph knows: one room per capability, and the vocabulary that they share."""
