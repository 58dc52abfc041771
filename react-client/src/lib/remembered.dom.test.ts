import { describe, expect, it, vi } from 'vitest';

import { forget, remember, remembered } from './remembered';

describe('what is remembered', () => {
  it('is what came last, also where storage has no room for it any more', () => {
    remember('key', 'old');
    const full = vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    remember('key', 'new');
    expect(remembered('key')).toBe('new');
    full.mockRestore();
    remember('key', 'newest');
    expect(remembered('key')).toBe('newest');
    expect(localStorage.getItem('key')).toBe('newest');
  });

  it('is forgotten when asked to', () => {
    remember('key', 'value');
    forget('key');
    expect(remembered('key')).toBeNull();
  });
});
