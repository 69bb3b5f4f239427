"""Dashboards for Grafana, made from a few words each."""
