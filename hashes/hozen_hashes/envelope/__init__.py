"""What lies in clear beside an encrypted bundle, and what is stated when one was opened elsewhere (envelope-v1)."""
