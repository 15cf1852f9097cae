import 'a-package-nobody-has';
