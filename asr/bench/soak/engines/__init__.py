"""Engines that only the soak's server has."""
