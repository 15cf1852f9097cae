require('a-package-nobody-has');
