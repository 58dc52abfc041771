import { createContext, useContext } from 'react';

/** Of several of the same on the page, which one this is; 1 for the only one. */
export const PartNumber = createContext(1);

/** Names a part so that a screen reader can tell it from the same part of another connection. */
export function usePartName(name: string): string {
  const number = useContext(PartNumber);
  return number === 1 ? name : `${name} ${String(number)}`;
}
