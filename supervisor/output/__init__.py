"""Standard output and error of containers: to the journal, to files, to whoever follows."""
