import { pythonClient } from '../helpers/clients/python-clients';

pythonClient('autogen-ext[openai] and autogen-agentchat', ['client_autogen.py']);
