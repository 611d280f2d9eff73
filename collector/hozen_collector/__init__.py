"""The collector: takes bundles in, verifies, archives, logs and answers with a receipt."""
