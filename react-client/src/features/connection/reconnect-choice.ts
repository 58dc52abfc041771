import { remember, remembered } from '../../lib/remembered';

const STORAGE_KEY = 'echo-trio.reconnect';

/** Whether connections that are lost are tried again by themselves: yes, unless turned off. */
export function doesReconnect(): boolean {
  return remembered(STORAGE_KEY) !== 'off';
}

export function chooseReconnect(on: boolean): void {
  remember(STORAGE_KEY, on ? 'on' : 'off');
}
