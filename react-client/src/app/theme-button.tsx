import { useColourScheme } from '../lib/theme-watch';
import { IconButton } from './icon-button';
import { chooseTheme } from './theme';

/** Switches between light and dark, and remembers it. */
export function ThemeButton() {
  const other = useColourScheme() === 'dark' ? 'light' : 'dark';
  return (
    <IconButton
      label={`Switch to the ${other} theme`}
      onPress={() => {
        chooseTheme(other);
      }}
    >
      {other === 'dark' ? (
        <path d="M20 14.5A8.2 8.2 0 0 1 9.5 4a8.2 8.2 0 1 0 10.5 10.5Z" />
      ) : (
        <>
          <circle cx="12" cy="12" r="4" />
          <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
        </>
      )}
    </IconButton>
  );
}
