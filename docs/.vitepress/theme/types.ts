/** Shows the type and the docstring of the name under the pointer, in one box above the page. */
export function showTypes(): void {
  const box = document.createElement('div');
  box.className = 'type-box';
  const type = box.appendChild(document.createElement('code'));
  const docs = box.appendChild(document.createElement('p'));
  // Other than a box inside the code, a popover is not cut off at the edge of the code.
  box.popover = 'manual';
  document.body.append(box);

  document.addEventListener('pointerover', ({ target }) => {
    if (!(target instanceof Element) || box.contains(target)) return;
    const name = target.closest<HTMLElement>('[data-type]');
    if (name === null) {
      box.hidePopover();
      return;
    }
    type.textContent = name.dataset['type'] ?? '';
    docs.textContent = name.dataset['docs'] ?? '';
    box.showPopover();
    place(box, name.getBoundingClientRect());
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
