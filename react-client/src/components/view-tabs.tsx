import { type KeyboardEvent, useRef } from 'react';

interface ViewTabsProps<Key extends string> {
  label: string;
  tabs: readonly { readonly key: Key; readonly caption: string }[];
  selected: Key;
  onSelect: (key: Key) => void;
  className?: string | undefined;
  tabClassName?: string | undefined;
}

/** By which a tab and its panel know each other. */
export function panelProps(key: string, isShown: boolean) {
  return {
    role: 'tabpanel',
    id: `view-${key}`,
    'aria-labelledby': `tab-${key}`,
    hidden: !isShown,
  } as const;
}

/** A row of tabs as the ARIA practices have it: one is in the tab order, arrows go to the others. */
export function ViewTabs<Key extends string>(props: ViewTabsProps<Key>) {
  const { label, tabs, selected, onSelect, className, tabClassName } = props;
  const row = useRef<HTMLDivElement>(null);
  const press = (event: KeyboardEvent) => {
    const at = tabs.findIndex(({ key }) => key === selected);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const tab = to === undefined ? undefined : tabs.at(to % tabs.length);
    if (tab === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    onSelect(tab.key);
    row.current?.querySelector<HTMLElement>(`#tab-${tab.key}`)?.focus();
  };
  return (
    <div ref={row} role="tablist" aria-label={label} className={className}>
      {tabs.map(({ key, caption }) => (
        <button
          key={key}
          type="button"
          role="tab"
          id={`tab-${key}`}
          aria-controls={`view-${key}`}
          aria-selected={key === selected}
          tabIndex={key === selected ? 0 : -1}
          className={tabClassName}
          onKeyDown={press}
          onClick={() => {
            onSelect(key);
          }}
        >
          {caption}
        </button>
      ))}
    </div>
  );
}
