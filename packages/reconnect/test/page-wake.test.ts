import { afterEach, expect, it, vi } from 'vitest';
import { onPageWake } from '../src/waits.ts';

afterEach(() => void vi.unstubAllGlobals());

it('onPageWake calls back when a page wakes, until it is removed', () => {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
  vi.stubGlobal('document', document);
  const wake = vi.fn();
  const remove = onPageWake(wake);
  document.dispatchEvent(new Event('visibilitychange'));
  expect(wake).not.toHaveBeenCalled();
  document.visibilityState = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  expect(wake).toHaveBeenCalledTimes(1);
  page.dispatchEvent(new Event('online'));
  page.dispatchEvent(new Event('pageshow'));
  expect(wake).toHaveBeenCalledTimes(2);
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  document.dispatchEvent(new Event('resume'));
  expect(wake).toHaveBeenCalledTimes(4);
  remove();
  for (const type of ['visibilitychange', 'resume']) document.dispatchEvent(new Event(type));
  for (const type of ['online', 'pageshow']) page.dispatchEvent(new Event(type));
  expect(wake).toHaveBeenCalledTimes(4);
});

it('onPageWake does nothing outside of pages', () => {
  expect(onPageWake(() => {})()).toBeUndefined();
});
