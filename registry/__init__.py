"""What Barograph remembers: the state store, the ledger, files by their content, and what is kept about versions."""
