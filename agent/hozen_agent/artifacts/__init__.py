"""Evidence families, one file each."""
