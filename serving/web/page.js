// What the browser does by itself: keys, and what follows a click at once. Everything else is done in Python.
window.quillflow = (() => {
  const coarse = () => matchMedia('(pointer: coarse)').matches;
  const field = editor => editor && editor.querySelector('.said textarea, .said input');
  let wantsField = false;

  function put(box, text) {
    const kind = box.tagName === 'TEXTAREA' ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(box, text);
    box.dispatchEvent(new Event('input', {bubbles: true}));
  }

  function others(editor) {
    return [...editor.querySelectorAll('.other')].map(button => button.dataset.text);
  }

  function step(editor, by) {   // another of the readings into the field
    const texts = others(editor), box = field(editor);
    if (!texts.length) return;
    const at = texts.indexOf(box.value);
    put(box, texts[at < 0 ? 0 : (at + by + texts.length) % texts.length]);
  }

  function press(editor, name) {
    const button = editor.querySelector(`button.${name}, .${name} button`);
    if (button) { wantsField = true; button.click(); }
  }

  document.addEventListener('keydown', event => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const inField = event.target.closest('.said'), inList = event.target.closest('.lines');
    if (!inField && !inList) return;
    const tab = event.target.closest('.desk, .one-line'), editor = tab && tab.querySelector('.editor');
    if (!editor) return;
    const by = {ArrowUp: -1, ArrowDown: 1}[event.key];
    if (by && event.altKey && inField) step(editor, by);
    else if (by && !event.altKey && !event.shiftKey) press(editor, by < 0 ? 'back' : 'onward');
    else if (event.key === 'Escape' && inField && others(editor).length) put(field(editor), others(editor)[0]);
    else if (event.key === 'Enter' && inField) { wantsField = true; return; }
    else return;
    event.preventDefault();
  });

  document.addEventListener('click', event => {
    const other = event.target.closest('.other');
    if (!other) return;
    const box = field(other.closest('.editor'));
    put(box, other.dataset.text);
    if (!coarse()) box.focus();
  });

  // A name is kept as long as the browser's tab is open.
  document.addEventListener('input', event => {
    if (event.target.closest('#author')) sessionStorage.setItem('quillflow-author', event.target.value);
  });

  function settle() {   // what Gradio's parts lack, as soon as they are there
    const author = document.querySelector('#author input, #author textarea');
    if (author && !author.dataset.settled) {
      author.dataset.settled = 'yes';
      const kept = sessionStorage.getItem('quillflow-author');
      setTimeout(() => { if (kept && !author.value) put(author, kept); }, 300);
    }
    for (const box of document.querySelectorAll('.said textarea, .said input')) box.dir = 'auto';
    const photo = document.querySelector('button.photo'), input = photo && photo.parentElement.querySelector(':scope > input[type=file]');
    if (input) input.setAttribute('capture', 'environment');
  }
  new MutationObserver(settle).observe(document.documentElement, {childList: true, subtree: true});

  return {
    chosen() { wantsField = true; },

    // The list was drawn anew: mark the line on the picture, bring both into sight, and the field under the fingers.
    listed(list) {
      const current = list.querySelector('[aria-current]'), view = document.getElementById('view');
      if (!current || !view) return;
      for (const outline of view.querySelectorAll('[data-line]'))
        outline.classList.toggle('current', outline.dataset.line === current.dataset.line);
      const scroller = list.querySelector('.lines'), row = current.closest('li');
      scroller.scrollTop = Math.max(0, row.offsetTop - scroller.offsetTop - scroller.clientHeight / 2);
      const outline = view.querySelector('.current'), sheet = view.querySelector('.sheet');
      if (outline && sheet) {
        const [a, b] = [outline.getBoundingClientRect(), sheet.getBoundingClientRect()];
        if (a.top < b.top || a.bottom > b.bottom) sheet.scrollTop += a.top - b.top - sheet.clientHeight / 2;
      }
      const editor = list.closest('.desk').querySelector('.editor'), box = field(editor);
      if (wantsField && coarse()) editor.scrollIntoView({block: 'start', behavior: 'smooth'});   // no keyboard over it
      else if (wantsField) {
        box.focus();
        box.setSelectionRange(box.value.length, box.value.length);
      }
      wantsField = false;
    },

    fetch() {
      setTimeout(() => {
        const link = document.querySelector('#parcel a, a#parcel, #parcel button, button#parcel');
        if (link) link.click();
      }, 50);
    },
  };
})();
