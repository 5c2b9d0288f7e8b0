def configure_logs(level, format): pass
