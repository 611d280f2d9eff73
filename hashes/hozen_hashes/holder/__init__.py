"""Who can open what is encrypted: age identities, and the private keys of certificates (bundle-v1 §10)."""
