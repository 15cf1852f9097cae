raise RuntimeError("the function's own decimal")
