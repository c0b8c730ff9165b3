import { afterEach, expect, it, vi } from 'vitest';
import { onPageWake } from '../../src/reconnecting/page-wake.ts';

afterEach(() => void vi.unstubAllGlobals());

it('onPageWake calls back when a page is online or visible, until it is removed', () => {
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
  page.dispatchEvent(new Event('online'));
  expect(wake).toHaveBeenCalledTimes(2);
  remove();
  document.dispatchEvent(new Event('visibilitychange'));
  page.dispatchEvent(new Event('online'));
  expect(wake).toHaveBeenCalledTimes(2);
});

it('onPageWake does nothing outside of pages', () => {
  expect(onPageWake(() => {})()).toBeUndefined();
});
