" Vim, set up as docs/editors.md says, talks to the real server through ALE, as Debian ships both: completion, references, rename.
" Environment: PROJECT, ANSWERS (a file that gets the answers as JSON).
set hidden nomore
let s:answers = {}

" Calls the function until it gives something, at most so many seconds.
function! s:Until(seconds, Condition) abort
  let l:end = localtime() + a:seconds
  while localtime() < l:end && !a:Condition()
    sleep 200m
  endwhile
endfunction

function! s:Lines(item) abort
  return fnamemodify(bufname(a:item.bufnr), ':t') . ':' . a:item.lnum
endfunction

function! s:References() abort
  edit $PROJECT/shop/prices.py
  call cursor(4, 5)
  ALEFindReferences -quickfix
  sleep 300m
  let s:answers.references = map(getqflist(), {_, item -> s:Lines(item)})
  return len(s:answers.references) >= 5
endfunction

" Called in insert mode, where the cursor is behind the last letter.
function! Collect() abort
  if ale#completion#OmniFunc(1, '') >= 0
    call s:Until(20, {-> ale#completion#GetCompletionResult() isnot v:null})
    let l:found = ale#completion#GetCompletionResult()
    let s:answers.completion = map(l:found is v:null ? [] : copy(l:found), {_, item -> item.word})
  endif
  return ''
endfunction

function! s:Completion() abort
  call feedkeys("A\<C-r>=Collect()\<CR>\<Esc>", 'xt')
  return !empty(s:answers.completion)
endfunction

function! s:Converse() abort
  call s:Until(60, function('s:References'))
  edit $PROJECT/shop/prices.py
  call cursor(12, 5)
  call feedkeys(":ALERename\<CR>\<C-u>reduced\<CR>", 'xt')
  call s:Until(30, {-> getline(12) =~# 'reduced'})
  wall
  call append(line('$'), ['', '', 'def cheapest(prices: list[float]) -> float:', '    """The lowest price."""', '    return m'])
  call cursor(line('$'), 1)
  let s:answers.completion = []
  call s:Until(120, function('s:Completion'))
endfunction

try
  call s:Converse()
catch
  let s:answers.problem = v:exception . ' ' . v:throwpoint
endtry
call writefile([json_encode(s:answers)], $ANSWERS)
qall!
