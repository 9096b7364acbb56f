;;; conversation.el --- Emacs (eglot), set up as docs/editors.md says, talks to the real server  -*- lexical-binding: t -*-
;;; Commentary:
;; Environment: PROJECT, ANSWERS (a file that gets the answers as JSON).
;;; Code:
(require 'eglot)
(require 'json)

(defvar answers nil)
(defvar project-folder (file-name-as-directory (getenv "PROJECT")))

(defun say (key value) "Keep VALUE under KEY." (push (cons key value) answers))

(defun wait-for (seconds condition)
  "Call CONDITION until it gives something, at most SECONDS."
  (let ((end (+ (float-time) seconds)) result)
    (while (and (not (setq result (funcall condition))) (< (float-time) end))
      (accept-process-output nil 0.3))
    result))

(defun converse ()
  "The conversation."
  (setq eglot-sync-connect 60 eglot-connect-timeout 60 eglot-confirm-server-initiated-edits nil)
  (find-file (concat project-folder "shop/prices.py"))
  ;; the hook that connects waits for a command to end, and a batch has none
  (run-hooks 'post-command-hook)
  (let ((server (or (wait-for 60 #'eglot-current-server) (error "The server did not start"))))
    ;; references of total(), once the index has the whole project
    (goto-char (point-min))
    (search-forward "def tot")
    (let (places)
      (wait-for 60 (lambda ()
                     (setq places (jsonrpc-request server :textDocument/references
                                                   (append (eglot--TextDocumentPositionParams)
                                                           '(:context (:includeDeclaration t)))))
                     (>= (length places) 5)))
      (say 'references
           (vconcat (mapcar (lambda (place)
                              (format "%s:%d" (file-name-nondirectory (eglot--uri-to-path (plist-get place :uri)))
                                      (1+ (plist-get (plist-get (plist-get place :range) :start) :line))))
                            places))))
    ;; rename discount() everywhere, by eglot's own command
    (goto-char (point-min))
    (search-forward "def disc")
    (eglot-rename "reduced")
    (save-some-buffers t)
    ;; code actions on average()
    (goto-char (point-min))
    (search-forward "def aver")
    (let* ((here (eglot--pos-to-lsp-position))
           (found (jsonrpc-request server :textDocument/codeAction
                                   (list :textDocument (eglot--TextDocumentIdentifier)
                                         :range (list :start here :end here) :context '(:diagnostics [])))))
      (say 'actions (vconcat (mapcar (lambda (action) (plist-get action :title)) found))))
    ;; take the action by eglot's own command, agree to run the code, and find the tests in a buffer
    (let ((last-nonmenu-event 'key)) ; a list would mean the mouse
      (eglot-code-actions (point) nil nil t))
    (say 'tests
         (or (wait-for 120 (lambda ()
                             (let ((buffer (find-buffer-visiting (concat project-folder "tests/test_prices.py"))))
                               (when buffer
                                 (with-current-buffer buffer
                                   (and (string-match-p "def test_" (buffer-string)) (buffer-string)))))))
             ""))
    ;; a completion from the model, by Emacs's own completion at point
    (goto-char (point-max))
    (insert "\n\ndef cheapest(prices: list[float]) -> float:\n    \"\"\"The lowest price.\"\"\"\n    return m")
    (eglot--signal-textDocument/didChange)
    (let (items)
      (wait-for 120 (lambda ()
                      (let ((result (jsonrpc-request server :textDocument/completion
                                                     (append (eglot--TextDocumentPositionParams) '(:context (:triggerKind 1)))
                                                     :timeout 60)))
                        (setq items (if (vectorp result) result (plist-get result :items)))
                        (> (length items) 0))))
      (say 'completion
           (vconcat (mapcar (lambda (item) (or (plist-get (plist-get item :textEdit) :newText) (plist-get item :label))) items))))
    (eglot-shutdown server)))

(defun first-choice (prompt choices &rest _)
  "Agree to PROMPT: the first of CHOICES."
  (when (string-match-p "sandbox" prompt) (say 'consent prompt))
  (if (consp (car choices)) (caar choices) (car choices)))

(condition-case problem
    ;; nobody sits at the terminal of a batch
    (cl-letf (((symbol-function 'completing-read) #'first-choice)
              ((symbol-function 'y-or-n-p) (lambda (_) t)))
      (converse))
  (error (say 'problem (format "%S" problem))))
(with-temp-file (getenv "ANSWERS") (insert (json-encode answers)))
(kill-emacs 0)
;;; conversation.el ends here
