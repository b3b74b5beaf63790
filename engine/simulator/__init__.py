"""A Binance USDⓈ-M exchange on loopback: its answers, errors and events, at recorded or synthetic prices."""
