print("about to fail")
raise ValueError("not today")
