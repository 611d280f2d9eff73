"""Commands that read and prove bundles, one file each."""
