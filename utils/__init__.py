"""The rooms of Bonsai; see docs/architecture.md for the floors."""
