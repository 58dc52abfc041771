import { useEffect, useState } from 'react';

import { chooseTheme, currentTheme, onSystemThemeChange, type Theme } from './theme';
import styles from './theme-button.module.css';

/** Switches between light and dark, and remembers it. */
export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(currentTheme);
  useEffect(
    () =>
      onSystemThemeChange(() => {
        setTheme(currentTheme());
      }),
    [],
  );

  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <button
      type="button"
      className={styles.button}
      aria-label={`Switch to the ${other} theme`}
      onClick={() => {
        chooseTheme(other);
        setTheme(other);
      }}
    >
      <svg
        width="18"
        height="18"
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {other === 'dark' ? (
          <path d="M20 14.5A8.2 8.2 0 0 1 9.5 4a8.2 8.2 0 1 0 10.5 10.5Z" />
        ) : (
          <>
            <circle cx="12" cy="12" r="4" />
            <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
          </>
        )}
      </svg>
    </button>
  );
}
