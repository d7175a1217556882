"""Networks by declaration: what is declared, who gets which address, how it is brought about."""
