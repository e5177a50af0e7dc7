"""One file a panel: its state, its presets, what it shows at once and what it trains."""
