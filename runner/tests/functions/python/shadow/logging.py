raise RuntimeError("the function's own logging")
