raise RuntimeError("the function's own json")
