import type { ChatTabs } from './chat-tabs';
import { type Shortcut, whenThere } from './shortcuts';

/** The keys of the chat view. */
export function chatShortcuts(chats: ChatTabs): readonly Shortcut[] {
  return [
    { key: '/', does: 'Filter the log', run: () => press('filter') },
    { key: 'p', does: 'Pause the log, or go on', run: () => press('pause') },
    {
      key: 'n',
      does: 'New connection',
      run: () => {
        chats.add();
      },
    },
    {
      key: '[',
      does: 'Connection before',
      run: () => {
        chats.step(-1);
      },
    },
    {
      key: ']',
      does: 'Connection after',
      run: () => {
        chats.step(1);
      },
    },
  ];
}

function press(shortcut: string): void {
  whenThere(`main [data-active=true] [data-shortcut=${shortcut}]`, (button) => {
    button.click();
  });
}
