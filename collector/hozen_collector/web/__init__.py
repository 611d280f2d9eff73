"""The status page: what is here, in Japanese and English, for somebody at this machine."""
