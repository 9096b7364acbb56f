;;; packages.el --- What Emacs has loaded by the time it reads init.el  -*- lexical-binding: t -*-
;;; Commentary:
;; In batch mode Emacs starts no packages; otherwise it does so before it reads init.el.
;;; Code:
(require 'package)
(package-activate-all)
;;; packages.el ends here
