raise RuntimeError("the function's own traceback")
