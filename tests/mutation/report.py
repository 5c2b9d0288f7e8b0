def written(r):
    return ""
