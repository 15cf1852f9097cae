NAME = "from a .pth file"
