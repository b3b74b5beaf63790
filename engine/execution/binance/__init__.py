"""One adapter for every mode: Binance USDⓈ-M futures through python-binance, at the venue or at the simulator."""
