/**
 * Shows the type and the docstring of a name in one box above the page: of the name under the
 * pointer, of a tapped name, and of the focused one. Enter on a focused program moves the focus
 * to its next name, Shift and Enter to the one before, Escape back to the program.
 */
export function showTypes(): void {
  const box = document.createElement('div');
  box.className = 'type-box';
  box.id = 'type-box';
  const type = box.appendChild(document.createElement('code'));
  const docs = box.appendChild(document.createElement('p'));
  // Other than a box inside the code, a popover is not cut off at the edge of the code.
  box.popover = 'manual';
  document.body.append(box);

  function show({ target }: Event): void {
    if (!(target instanceof Element) || box.contains(target)) return;
    const name = target.closest<HTMLElement>('[data-type]');
    if (name === null) {
      box.hidePopover();
      return;
    }
    type.textContent = name.dataset['type'] ?? '';
    docs.textContent = name.dataset['docs'] ?? '';
    name.setAttribute('aria-describedby', box.id);
    box.showPopover();
    place(box, name.getBoundingClientRect());
  }
  document.addEventListener('pointerover', show);
  document.addEventListener('focusin', show);
  document.addEventListener('focusout', () => box.hidePopover());

  document.addEventListener('keydown', ({ target, key, shiftKey }) => {
    if (!(target instanceof Element)) return;
    const program = target.closest<HTMLElement>('pre.twoslash');
    if (program === null) return;
    if (key === 'Escape') program.focus();
    if (key !== 'Enter') return;
    const names = [...program.querySelectorAll<HTMLElement>('[data-type]')];
    const focused = names.findIndex((name) => name === target);
    names.at((shiftKey ? Math.max(focused, 0) - 1 : focused + 1) % names.length)?.focus();
  });
}

/** Puts the box below the name, or above it near the lower edge of the window. */
function place(box: HTMLElement, name: DOMRect): void {
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(name.left, innerWidth - width - 8);
  const below = name.bottom + height < innerHeight;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${below ? name.bottom : name.top - height}px`;
}
