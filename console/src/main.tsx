import { render } from 'preact';

import { start } from './api';
import { App } from './app';
import './style.css';

const root = document.getElementById('app');
if (root !== null) {
  void start();
  render(<App />, root);
}
