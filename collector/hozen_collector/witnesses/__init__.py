"""The collector's own log before the witnesses of others: asked after each checkpoint, their cosignatures kept."""
